"use strict";
(() => {
  const main = document.querySelector("main");
  const rater = document.getElementById("rater");
  const progress = document.getElementById("progress");
  const pairs = [...document.querySelectorAll("[data-pair]")];
  const place = `safejudge-winrates-${main.dataset.study}`;
  let kept = { rater: "", votes: {} };
  try {
    kept = JSON.parse(localStorage.getItem(place)) ?? kept;
  } catch {
    // a browser that keeps nothing, or something else at this place
  }
  const keep = () => {
    try {
      localStorage.setItem(place, JSON.stringify(kept));
    } catch {
      // the answers are still on the page
    }
    const done = Object.keys(kept.votes).length;
    progress.textContent = `${done} of ${pairs.length} answered`;
  };
  rater.value = kept.rater;
  for (const pair of pairs) {
    const choice = kept.votes[pair.dataset.pair];
    const input = [...pair.querySelectorAll("input")].find((one) => one.value === choice);
    if (input) input.checked = true;
  }
  main.addEventListener("change", (event) => {
    kept.votes[event.target.name] = event.target.value;
    keep();
  });
  rater.addEventListener("input", () => {
    kept.rater = rater.value.trim();
    keep();
  });
  document.getElementById("save").addEventListener("click", () => {
    if (!kept.rater) {
      rater.focus();
      progress.textContent = "Write your name first";
      return;
    }
    const lines = pairs
      .filter((pair) => kept.votes[pair.dataset.pair])
      .map((pair) => ({
        pair: pair.dataset.pair,
        rater: kept.rater,
        choice: kept.votes[pair.dataset.pair],
      }));
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
    link.download = `votes-${kept.rater.replace(/[^\p{L}\p{N}]+/gu, "-")}.jsonl`;
    link.click();
  });
  keep();
})();
