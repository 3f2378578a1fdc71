// Replaces the still picture by one with tooltips. `ast` makes Vega interpret its expressions: the page's
// Content-Security-Policy allows no eval.
"use strict";
(async () => {
  const place = document.getElementById("chart");
  if (!place || typeof vegaEmbed === "undefined") return;
  const still = place.firstElementChild;
  const answer = await fetch(place.dataset.spec);
  if (!answer.ok) return;
  const drawn = document.createElement("div");
  try {
    const spec = await answer.json();
    spec.width = place.clientWidth - 16;
    spec.autosize = { type: "fit", contains: "padding" };
    await vegaEmbed(drawn, spec, { ast: true, actions: false, defaultStyle: false, renderer: "canvas",
                                   tooltip: { disableDefaultStyle: true } });
    still.replaceWith(drawn);
    place.dataset.drawn = "yes";
  } catch (error) {
    console.error(error);
  }
})();
