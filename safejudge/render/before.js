// Runs in every frame before the clock is stopped: keeps what the page's own scripts lose.
(() => {
  const frame = window.requestAnimationFrame.bind(window);
  const roots = [document];
  const seen = new WeakSet();
  const since = new WeakMap(); // milliseconds of each drawing
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (options) {
    const root = attach.call(this, options);
    roots.push(root);
    return root;
  };

  // Animations start where they are first seen; their own timeline stands still.
  const animate = (root, ms) => {
    for (const animation of root.getAnimations()) {
      if (animation.timeline !== document.timeline) continue; // driven by scrolling
      if (!seen.has(animation)) seen.add(animation);
      else if (animation.playState === "running") animation.currentTime += ms * animation.playbackRate;
    }
  };
  const draw = (root, ms) => {
    for (const svg of root.querySelectorAll("svg")) {
      if (svg.ownerSVGElement) continue;
      since.set(svg, since.has(svg) ? since.get(svg) + ms : 0);
      svg.pauseAnimations();
      svg.setCurrentTime(since.get(svg) / 1000);
    }
  };
  const advance = async (ms) => {
    for (const root of roots) {
      animate(root, ms);
      draw(root, ms);
    }
    // Observers, and events of animations that have ended. A frame out of sight is never drawn.
    if (window === window.top) await new Promise(frame);
  };

  // Pictures that move go by a person's clock: they show their beginning.
  const still = new CSSStyleSheet();
  still.replaceSync(":root { image-animation: stopped !important }");
  document.adoptedStyleSheets.push(still);

  // What the browser would open a connection for, and asks nobody.
  const hints = () =>
    [...document.querySelectorAll("link[rel~=dns-prefetch i],link[rel~=preconnect i]")].map(
      (link) => link.href,
    );
  Object.defineProperty(window, "__stage", { value: { advance, hints } });
})();
