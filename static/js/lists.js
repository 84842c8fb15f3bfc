// Lists: selecting rows for a bulk action, filters that apply themselves, forms that are sent once.
//
// <form data-bulk> holds the table and a .bulk-bar; each row has <input type="checkbox" data-select>, the head
// has one with data-select-all; [data-selected-count] says how many.

function refresh(form) {
  const boxes = [...form.querySelectorAll("input[data-select]")];
  const chosen = boxes.filter((box) => box.checked);
  const all = form.querySelector("input[data-select-all]");
  if (all) {
    all.checked = boxes.length > 0 && chosen.length === boxes.length;
    all.indeterminate = chosen.length > 0 && chosen.length < boxes.length;
  }
  const bar = form.querySelector(".bulk-bar");
  if (bar) bar.hidden = chosen.length === 0;
  const count = form.querySelector("[data-selected-count]");
  if (count) count.textContent = `${chosen.length} selected`;
}

let lastBox = null;

document.addEventListener("click", (event) => {
  const box = event.target.closest?.("input[data-select]");
  if (!box) return;
  // Shift and click takes the whole stretch.
  if (event.shiftKey && lastBox?.isConnected) {
    const boxes = [...box.form.querySelectorAll("input[data-select]")];
    const [from, to] = [boxes.indexOf(lastBox), boxes.indexOf(box)].sort((a, b) => a - b);
    if (from >= 0) boxes.slice(from, to + 1).forEach((each) => (each.checked = box.checked));
  }
  lastBox = box;
});

document.addEventListener("change", (event) => {
  const form = event.target.closest?.("form[data-bulk]");
  if (!form) return;
  if (event.target.matches("[data-select-all]"))
    form.querySelectorAll("input[data-select]").forEach((box) => (box.checked = event.target.checked));
  refresh(form);
});

document.addEventListener("click", (event) => {
  const clear = event.target.closest?.("[data-select-none]");
  if (!clear) return;
  const form = clear.closest("form[data-bulk]");
  form.querySelectorAll("input[data-select]").forEach((box) => (box.checked = false));
  refresh(form);
});

// A second click on "Save" must not save twice; htmx guards its own forms.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method === "get" || form.matches("[hx-post], [hx-put], [hx-patch], [hx-delete], [hx-boost]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
});
// Back to this page from the browser's memory: the form may be sent again.
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
