"use strict";
// The review page. Everything comes from this server, with the key that the reader pasted; a
// decision that could not be sent is kept in this tab until it can be.
(() => {
  const $ = (id) => document.getElementById(id);
  const KEY = "safejudge-key", UNSENT = "safejudge-unsent", KEYS_OFF = "safejudge-keys-off";
  const SAY = { violates: "Violates", does_not: "Does not", cannot_tell: "Cannot tell" };
  const WHY = {
    undecided: "the judge could not tell",
    between: "the score lies between the thresholds",
    shadow: "two versions of the rules or models say different things",
    audit: "drawn by lot, whatever the judge says",
  };
  const REFUSED = ["answered", "reworded", "gone", "no_rule", "invalid_request"]; // for good
  const store = sessionStorage;
  const now = { who: "", reviewers: 1, open: {}, list: [], item: null, busy: false, beside: "" };
  const undoable = [];
  let asked = 0; // the latest request for a question; replies to earlier ones are dropped
  let picture = ""; // the object URL that is shown

  // --- asking the server ------------------------------------------------------------------------

  class Trouble extends Error {
    constructor(code, message) { super(message); this.code = code; }
  }

  async function ask(path, body, { seconds = 30, blob = false } = {}) {
    const headers = {};
    const key = store.getItem(KEY);
    if (key) headers.authorization = `Bearer ${key}`;
    if (body) headers["content-type"] = "application/json";
    const options = {
      method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body),
      cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(seconds * 1000),
    };
    const away = "The server cannot be reached, or does not answer. Look at the connection, then try again.";
    let reply;
    try {
      reply = await fetch(`review/api/${path}`, options);
      if (reply.ok) return await (blob ? reply.blob() : reply.json());
    } catch { throw new Trouble("offline", away); }
    let fault = {};
    try { fault = (await reply.json()).error || {}; } catch { /* a proxy's own page */ }
    if (reply.status > 500 && !fault.code) throw new Trouble("offline", away);
    throw new Trouble(fault.code || `status_${reply.status}`, told(reply.status, fault));
  }

  function told(status, fault) {
    if (status === 401) return "The server does not know this key. Paste another one, or ask whoever runs the server.";
    if (fault.code === "missing_role") return `${fault.message}. Ask whoever runs the server for one: safejudge keys add keys.txt NAME --role review`;
    const said = fault.message ? `${fault.message[0].toUpperCase()}${fault.message.slice(1)}.` : `The server answered ${status}.`;
    return status >= 500 ? `${said} Nothing was changed; try again in a moment.` : said;
  }

  const query = (values) => new URLSearchParams(Object.entries(values).filter(([, v]) => v !== "")).toString();

  // --- saying -----------------------------------------------------------------------------------

  function announce(text) {
    $("live").textContent = "";
    requestAnimationFrame(() => { $("live").textContent = text; });
  }

  function complain(error, again) {
    if (!(error instanceof Trouble)) throw error;
    if (error.code === "invalid_api_key" || error.code === "status_401") { signOut(error.message); return; }
    const text = document.createElement("p");
    text.textContent = error.message;
    $("trouble").replaceChildren(text);
    if (again) $("trouble").append(button("Try again", () => { calm(); again(); }));
    $("trouble").append(button("Close", calm));
  }

  const calm = () => $("trouble").replaceChildren();

  function button(text, does) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", does);
    return made;
  }

  // --- views ------------------------------------------------------------------------------------

  function show(name) {
    for (const view of document.querySelectorAll("main > section")) view.hidden = view.id !== `view-${name}`;
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  async function route() {
    if (!now.who) return;
    const [view, judgment, rule] = location.hash.slice(1).split("/");
    calm();
    if (view === "rules") { show("rules"); $("rules-title").focus(); await rules(); return; }
    if (view === "change") { show("change"); $("change-title").focus(); return; }
    show("queue");
    if (view === "item" && judgment && rule) {
      await refill();
      await open({ judgment: Number(judgment), rule: decodeURIComponent(rule) });
    } else await start();
  }

  async function enter() {
    let state;
    try { state = await ask("state"); } catch (error) {
      if (error.code === "invalid_api_key") { signOut(store.getItem(KEY) ? error.message : ""); return; }
      if (error.code === "missing_role") { signOut(error.message); return; }
      complain(error, enter);
      return;
    }
    now.who = state.reviewer;
    $("who").textContent = `You are ${now.who}`;
    $("leave").hidden = !store.getItem(KEY);
    $("views").hidden = false;
    keep(state);
    tellUnsent();
    await route();
    if (unsent().some((one) => one.who === now.who)) sendUnsent();
  }

  function signOut(message) {
    store.removeItem(KEY);
    Object.assign(now, { who: "", item: null, list: [] });
    undoable.length = 0;
    blank();
    $("who").textContent = "";
    $("leave").hidden = $("views").hidden = $("engine").hidden = true;
    $("rules").replaceChildren(); $("change").replaceChildren();
    calm();
    show("key");
    if (message) complain(new Trouble("", message));
    $("key").value = "";
    $("key").focus();
  }

  function keep(state) {
    Object.assign(now, { reviewers: state.reviewers, open: state.open });
    let all = 0, more = "";
    for (const [why, count] of Object.entries(state.open)) {
      const full = count >= state.counted_to ? "+" : "";
      more = more || full;
      all += count;
      document.querySelector(`[data-count="${why}"]`).textContent = `${count}${full}`;
    }
    document.querySelector('[data-count=""]').textContent = `${all}${more}`;
    $("engine").hidden = !state.problem;
    $("engine").textContent = state.problem ? `No picture is judged now: ${state.problem}. You can decide all the same.` : "";
  }

  // --- the queue --------------------------------------------------------------------------------

  const same = (a, b) => a && b && a.judgment === b.judgment && a.rule === b.rule;
  const place = () => now.list.findIndex((one) => same(one, now.item));

  async function refill() {
    const why = document.querySelector('[name="why"]:checked').value;
    const found = await ask(`queue?${query({ why, limit: 50 })}`);
    now.list = found.questions;
    keep(found);
    draw();
  }

  async function start() {
    try { await refill(); } catch (error) { complain(error, start); return; }
    await go(now.list[0]);
  }

  async function go(question) {
    if (question) await open(question); else finished();
  }

  function draw() {
    $("list").replaceChildren(...now.list.map((one) => {
      const entry = document.createElement("li");
      const made = button(one.rule, () => open(one));
      const about = document.createElement("span");
      about.textContent = `${one.why}, ${one.image || one.image_id.slice(0, 12)}`;
      made.append(about);
      if (same(one, now.item)) made.setAttribute("aria-current", "true");
      entry.append(made);
      return entry;
    }));
    if (!now.list.length) {
      const none = document.createElement("li");
      none.className = "facts";
      none.textContent = "None.";
      $("list").append(none);
    }
  }

  function blank() {
    now.item = null;
    now.beside = "";
    if (picture) URL.revokeObjectURL(picture);
    picture = "";
    $("image").hidden = true;
    $("image").removeAttribute("src");
    $("boxes").replaceChildren();
    $("trace").replaceChildren();
    $("note").value = "";
    $("item-body").hidden = true;
    $("item-why").textContent = $("item-rule").textContent = "";
  }

  function finished() {
    asked += 1;
    blank();
    $("item-title").textContent = "Nothing is open";
    $("item-rule").textContent = "You have answered all that is asked here. New questions come while pictures are judged.";
    $("item-title").focus();
    announce("Nothing is open.");
  }

  async function open(question, said = "") {
    const mine = ++asked;
    blank();
    $("item-title").textContent = "Loading";
    let item;
    try { item = await ask(`item?${query({ judgment: question.judgment, rule: question.rule })}`); }
    catch (error) {
      if (mine !== asked) return;
      $("item-title").textContent = "Not shown";
      complain(error, () => open(question));
      return;
    }
    if (mine !== asked) return;
    now.item = item;
    $("item-why").textContent = item.why.length ? `Asked because ${item.why.map((why) => WHY[why] || why).join("; ")}` : "Nobody has to decide this";
    $("item-title").textContent = `Does it violate ${item.rule}?`;
    $("item-rule").textContent = item.text;
    $("trace").innerHTML = item.html; // made by this server, which escapes what others wrote
    for (const taking of $("trace").querySelectorAll("[data-withdraw]")) {
      taking.addEventListener("click", () => withdraw(Number(taking.dataset.withdraw), item));
    }
    $("item-body").hidden = false;
    draw();
    const where = place();
    const left = where < 0 ? "" : ` Question ${where + 1} of ${now.list.length} listed.`;
    announce(`${said} ${$("item-title").textContent} ${item.text} ${$("item-why").textContent}.${left}`.trim());
    $("item-title").focus({ preventScroll: true });
    if ($("item").getBoundingClientRect().top < 0) $("item").scrollIntoView({ block: "start" });
    await look(item, mine);
  }

  // --- the picture ------------------------------------------------------------------------------

  async function look(item, mine) {
    veil(true);
    $("veil").hidden = $("frame").hidden = true;
    $("no-picture").hidden = true;
    let file;
    try { file = await ask(`picture?${query({ judgment: item.judgment })}`, null, { blob: true }); }
    catch (error) {
      if (mine !== asked) return;
      $("no-picture").hidden = false;
      $("no-picture").textContent = error.code === "no_picture"
        ? `The server kept no picture of it (serve --thumbnail keeps them). Find it by its name, ${item.image}, or by its SHA-256 below.`
        : `The picture did not come: ${error.message}`;
      return;
    }
    if (mine !== asked) return;
    picture = URL.createObjectURL(file);
    $("image").onload = () => {
      const side = Math.max($("image").naturalWidth, $("image").naturalHeight);
      const times = side <= 160 ? Math.max(1, Math.floor(384 / side)) : 1;
      $("image").classList.toggle("drawn", times > 1);
      $("image").width = $("image").naturalWidth * times;
    };
    $("image").src = picture;
    $("image").hidden = $("frame").hidden = $("veil").hidden = false;
    boxes(item.boxes);
  }

  function boxes(found) {
    const NS = "http://www.w3.org/2000/svg";
    $("boxes").replaceChildren(...found.flatMap((box) => {
      const rect = document.createElementNS(NS, "rect"), text = document.createElementNS(NS, "text");
      for (const [name, value] of [["x", box.left], ["y", box.top], ["width", box.width], ["height", box.height]]) rect.setAttribute(name, `${value}%`);
      text.setAttribute("x", `${box.left}%`);
      text.setAttribute("y", `${box.top}%`);
      text.setAttribute("dy", box.top < 8 ? "16" : "-4");
      text.textContent = `${box.word} ${box.confidence.toFixed(2)}`;
      return [rect, text];
    }));
  }

  function veil(on) {
    $("frame").classList.toggle("veiled", on);
    $("veil").setAttribute("aria-pressed", String(!on));
    $("veil").firstChild.textContent = on ? "Show the picture " : "Blur the picture ";
    $("image").alt = on ? "The picture in question, blurred" : "The picture in question";
  }

  function turn() {
    if ($("veil").hidden) { announce("There is no picture."); return; }
    veil(!$("frame").classList.contains("veiled"));
    announce($("frame").classList.contains("veiled") ? "The picture is blurred." : "The picture is shown.");
  }

  // --- deciding ---------------------------------------------------------------------------------

  async function decide(verdict) {
    const item = now.item;
    if (!item || now.busy) return;
    const said = {
      judgment: item.judgment, rule: item.rule, digest: item.digest, verdict, note: $("note").value.trim(),
      beside: now.beside === `${item.judgment}/${item.rule}`,
    };
    work(true);
    calm();
    let after = `${SAY[verdict]}: kept.`;
    try {
      const kept = await ask("decide", said);
      undoable.push({ decision: kept.decision, judgment: item.judgment, rule: item.rule });
      keep(kept);
    } catch (error) {
      if (error.code !== "offline") {
        work(false);
        if (error.code === "answered") now.beside = `${item.judgment}/${item.rule}`;
        complain(error, error.code === "reworded" ? () => open(item) : null);
        return;
      }
      putUnsent({ who: now.who, ...said });
      after = `${SAY[verdict]}: not sent, and kept in this tab.`;
    }
    work(false);
    await next(item, after);
  }

  async function next(item, said) {
    const where = Math.max(0, place());
    now.list = now.list.filter((one) => !same(one, item));
    if (now.list.length < 10) {
      try {
        const waiting = unsent();
        await refill();
        now.list = now.list.filter((one) => !waiting.some((w) => same(w, one)));
      } catch (error) { if (error.code !== "offline") complain(error); }
    }
    const following = now.list[Math.min(where, now.list.length - 1)];
    if (following) await open(following, said); else { finished(); announce(`${said} Nothing is open.`); }
  }

  function work(on) {
    now.busy = on;
    $("decide").setAttribute("aria-busy", String(on));
    for (const one of $("decide").querySelectorAll("button")) one.disabled = on;
  }

  async function undo() {
    if (now.busy || !now.who) return;
    const waiting = unsent();
    const last = waiting.filter((one) => one.who === now.who).pop();
    if (last) { // what was not sent is taken back without the server
      saveUnsent(waiting.filter((one) => one !== last));
      await open(last, "Your decision that was not sent is undone.");
      return;
    }
    let latest = undoable.pop();
    try { latest = latest || (await ask("mine?limit=1"))[0]; } catch (error) { complain(error, undo); return; }
    if (!latest) { announce("There is nothing to undo."); return; }
    await withdraw(latest.decision, latest);
  }

  async function withdraw(decision, question) {
    work(true);
    calm();
    try {
      keep(await ask("withdraw", { decision }));
      await refill();
    } catch (error) { complain(error, error.code === "gone" ? null : () => withdraw(decision, question)); return; }
    finally { work(false); }
    if (question.judgment) await open(question, "Undone.");
    else announce("Undone. Its judgment is not in the journal any more.");
  }

  function step(by) {
    const where = place();
    const to = where < 0 ? (by > 0 ? 0 : -1) : where + by;
    if (to < 0 || to >= now.list.length) { announce(by > 0 ? "This is the last one listed." : "This is the first one."); return; }
    open(now.list[to]);
  }

  // --- what could not be sent -------------------------------------------------------------------

  const unsent = () => JSON.parse(store.getItem(UNSENT) || "[]");

  function saveUnsent(list) { store.setItem(UNSENT, JSON.stringify(list)); tellUnsent(); }

  function putUnsent(said) { saveUnsent([...unsent().filter((one) => !(same(one, said) && one.who === said.who)), said]); }

  function tellUnsent() {
    const all = unsent(), mine = all.filter((one) => one.who === now.who).length;
    $("unsent").hidden = !all.length;
    const others = all.length - mine;
    $("unsent-text").textContent = [
      mine ? `${mine} decision${mine === 1 ? " is" : "s are"} not sent: the server could not be reached. Keep this tab open.` : "",
      others ? `${others} of another reviewer: sign in as ${[...new Set(all.filter((one) => one.who !== now.who).map((one) => one.who))].join(", ")} to send.` : "",
    ].join(" ").trim();
    $("send-again").hidden = !mine;
  }

  async function sendUnsent() {
    const refused = [];
    for (const one of unsent().filter((o) => o.who === now.who)) {
      const { who, ...said } = one;
      try {
        const kept = await ask("decide", said);
        undoable.push({ decision: kept.decision, judgment: one.judgment, rule: one.rule });
        keep(kept);
      } catch (error) {
        if (!REFUSED.includes(error.code)) { complain(error); return; }
        refused.push(`${one.rule}: ${error.message}`);
      }
      saveUnsent(unsent().filter((other) => !(same(other, one) && other.who === who)));
    }
    calm();
    if (refused.length) complain(new Trouble("refused", `Not kept, so decide anew. ${refused.join(" ")}`));
    else announce("All decisions are sent.");
  }

  // --- rules, and what would change -------------------------------------------------------------

  async function rules() {
    $("rules").setAttribute("aria-busy", "true");
    try {
      const found = await ask(`rules?${query({ weeks: $("weeks").value })}`, null, { seconds: 300 });
      $("rules").innerHTML = found.html;
      announce(`${found.rules.length} rules over ${$("weeks").value} weeks.`);
    } catch (error) { complain(error, rules); }
    $("rules").removeAttribute("aria-busy");
  }

  async function attempt() {
    const body = { constitution: $("constitution").value, settings: $("settings").value, newest: Number($("newest").value) };
    $("try").disabled = true;
    $("change").textContent = "Judging again from the records…";
    calm();
    announce("Judging again from the records.");
    try {
      $("change").innerHTML = (await ask("replay", body, { seconds: 600 })).html;
      $("found").focus();
      announce($("found").textContent);
    } catch (error) { $("change").replaceChildren(); complain(error); }
    $("try").disabled = false;
  }

  async function inForce() {
    try { $("constitution").value = (await ask("constitution")).constitution; $("constitution").focus(); }
    catch (error) { complain(error, inForce); }
  }

  // --- keys and buttons -------------------------------------------------------------------------

  const KEYS = {
    y: () => decide("violates"), n: () => decide("does_not"), "?": () => decide("cannot_tell"),
    u: undo, b: turn, j: () => step(1), k: () => step(-1), h: () => $("help").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("help").open) return;
    const typing = event.target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select");
    if (typing) {
      if (event.key === "Escape" && typing.id === "note") $("item-title").focus();
      return;
    }
    const does = KEYS[event.key.toLowerCase()];
    if (!does || !now.who || localStorage.getItem(KEYS_OFF)) return;
    if (event.key !== "h" && $("view-queue").hidden) return;
    event.preventDefault();
    does();
  });

  for (const one of document.querySelectorAll("[data-verdict]")) one.addEventListener("click", () => decide(one.dataset.verdict));
  $("undo").addEventListener("click", undo);
  $("veil").addEventListener("click", turn);
  $("whys").addEventListener("change", start);
  $("whys").addEventListener("submit", (event) => event.preventDefault());
  $("decide").addEventListener("submit", (event) => event.preventDefault());
  $("weeks").addEventListener("change", rules);
  $("rules-form").addEventListener("submit", (event) => event.preventDefault());
  $("change-form").addEventListener("submit", (event) => { event.preventDefault(); attempt(); });
  $("in-force").addEventListener("click", inForce);
  $("send-again").addEventListener("click", sendUnsent);
  $("leave").addEventListener("click", () => signOut(""));
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("keys-on").checked = !localStorage.getItem(KEYS_OFF);
  $("keys-on").addEventListener("change", (event) => {
    if (event.target.checked) localStorage.removeItem(KEYS_OFF); else localStorage.setItem(KEYS_OFF, "1");
  });
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    calm();
    store.setItem(KEY, $("key").value.trim());
    enter();
  });
  addEventListener("hashchange", route);
  addEventListener("online", () => { if (now.who && unsent().some((one) => one.who === now.who)) sendUnsent(); });
  addEventListener("beforeunload", (event) => { if (unsent().length) event.preventDefault(); });

  enter();
})();
