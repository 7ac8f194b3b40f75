"use strict";
(() => {
  const tip = document.getElementById("tip");
  let shown = null;

  const hide = () => {
    if (shown) {
      const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
      title.textContent = tip.textContent;
      shown.prepend(title);
      shown = null;
    }
    tip.hidden = true;
  };

  // The browser's own title comes late and never on touch: ours takes its words and gives them back.
  document.addEventListener("pointerover", (event) => {
    const mark = event.target.closest("svg [data-mark]");
    if (mark === shown) return;
    hide();
    const title = mark && mark.querySelector("title");
    if (!title) return;
    tip.textContent = title.textContent;
    title.remove();
    shown = mark;
    tip.hidden = false;
    const box = mark.getBoundingClientRect();
    const half = tip.offsetWidth / 2;
    const middle = Math.min(Math.max(box.left + box.width / 2, half + 8), document.documentElement.clientWidth - half - 8);
    tip.style.left = `${middle - half}px`;
    const above = box.top - tip.offsetHeight - 8;
    tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
  });
  document.addEventListener("scroll", hide, { passive: true, capture: true });

  for (const radio of document.querySelectorAll("input[data-view]")) {
    radio.addEventListener("change", () => {
      document.getElementById("map").dataset.view = radio.value;
      clear();
    });
  }

  const clear = () => {
    for (const button of document.querySelectorAll("button[data-label]")) button.setAttribute("aria-pressed", "false");
    for (const dot of document.querySelectorAll("#map .faint")) dot.classList.remove("faint");
  };

  for (const button of document.querySelectorAll("button[data-label]")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      clear();
      button.setAttribute("aria-pressed", String(on));
      if (!on) return;
      for (const dot of document.querySelectorAll("#map circle")) {
        dot.classList.toggle("faint", !dot.classList.contains(button.dataset.label));
      }
    });
  }
})();
