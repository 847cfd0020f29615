// Runs in every frame once the clock is stopped: what a page is refused, and timers that throw.
(() => {
  const note = window.__note;
  const refuse = (kind, what) => note(kind, String(what).slice(0, 300));

  window.open = (url) => {
    refuse("popup", url === undefined || url === "" ? "about:blank" : url);
    return null;
  };
  window.print = () => refuse("print", "the page asks to be printed");
  for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection", "WebTransport", "SharedWorker"]) {
    if (!(name in window)) continue;
    window[name] = class {
      constructor(url) {
        refuse(name.includes("RTC") ? "webrtc" : name.toLowerCase(), typeof url === "string" ? url : name);
        throw new DOMException(`${name} is refused here`, "NotAllowedError");
      }
    };
  }
  const never = new Promise(() => {});
  Object.defineProperty(navigator, "serviceWorker", {
    value: Object.assign(new EventTarget(), {
      controller: null,
      ready: never,
      getRegistration: async () => undefined,
      getRegistrations: async () => [],
      startMessages() {},
      register(url) {
        refuse("service worker", url);
        return Promise.reject(new DOMException("service workers are refused here", "SecurityError"));
      },
    }),
  });

  // The stopped clock's own frames begin with what passed before it was stopped, which differs from
  // run to run. Here a page is drawn every 16 ms from its opening on.
  const date = Date.now;
  const opened = date();
  const now = () => date() - opened;
  const wait = window.setTimeout;
  performance.now = now;

  // A stopped clock would stay on a timer that throws; a browser reports it and goes on.
  const guarded = (task) => (...values) => {
    try {
      (typeof task === "function" ? task : () => (0, eval)(String(task))).apply(window, values);
    } catch (error) {
      reportError(error);
    }
  };
  for (const name of ["setTimeout", "setInterval", "requestIdleCallback"]) {
    const schedule = window[name];
    window[name] = (task, ...rest) => schedule(guarded(task), ...rest);
  }
  window.requestAnimationFrame = (task) => wait(() => guarded(task)(now()), 16 - (now() % 16));
  window.cancelAnimationFrame = window.clearTimeout;
})();
