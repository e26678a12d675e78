// Refreshes the page in place, and says so when it cannot. Without it the page is complete, and as old as its loading.
"use strict";
(() => {
  const every = 10000, patience = 20000;
  const said = document.getElementById("refresh");
  const time = () => new Date().toISOString().slice(11, 19) + " UTC";
  let loaded = time(), failing = false;
  const say = (text, stale) => {
    if (said.textContent !== text) said.textContent = text;
    document.body.classList.toggle("stale", stale);
  };
  const selector = element => element && element !== document.body &&
    (element.id ? "#" + CSS.escape(element.id) : element.href ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : "");

  async function refresh() {
    try {
      const response = await fetch(location.href, {
        headers: {Accept: "text/html"}, cache: "no-store", signal: AbortSignal.timeout(patience),
      });
      if (!response.ok && response.status !== 404) throw new Error(response.statusText);
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      const main = document.getElementById("main");
      const focused = main.contains(document.activeElement) ? selector(document.activeElement) : "";
      const typed = document.getElementById("q"), value = typed && typed.value;
      const open = [...main.querySelectorAll("details")].map(d => d.open);
      main.replaceChildren(...fresh.getElementById("main").childNodes);
      document.querySelector("footer").replaceWith(fresh.querySelector("footer"));
      document.title = fresh.title;
      main.querySelectorAll("details").forEach((d, i) => { d.open = open[i]; });
      if (typed && document.getElementById("q")) document.getElementById("q").value = value;
      if (focused && main.querySelector(focused)) main.querySelector(focused).focus({preventScroll: true});
      loaded = time();
      if (failing) say("The engine answers again", false);
      else say("Refreshes itself", false);
      failing = false;
    } catch {
      failing = true;
      say("The engine does not answer: this is as of " + loaded, true);
    }
  }
  say("Refreshes itself", false);
  let due = false;
  const tick = async () => {
    due = document.hidden;
    if (!due) await refresh();
    setTimeout(tick, every);
  };
  setTimeout(tick, every);
  addEventListener("online", refresh);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && due) { due = false; refresh(); } });
})();
