// Fetches the list every few seconds and puts it in place when it changed. The server has escaped every name.
"use strict";
(() => {
  const live = document.getElementById("live");
  const stale = document.getElementById("stale");
  let tag = null;
  async function look() {
    try {
      const answer = await fetch(live.dataset.from, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(String(answer.status));
        tag = answer.headers.get("ETag");
        live.innerHTML = await answer.text();
        document.title = live.querySelector("h1").dataset.summary + " · adwatch";
      }
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
    setTimeout(look, document.hidden ? 15000 : 3000);
  }
  setTimeout(look, 3000);
})();
