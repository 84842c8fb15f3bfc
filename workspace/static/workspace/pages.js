// The CSM's own pages: a list that reloads where it now stands, the row one was at, saving by Ctrl+Enter.

// The filters change the address; what reloads the list has to ask for that, not for where the page began.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt.matches?.("[data-reload-here]")) event.detail.path = location.pathname + location.search;
});

// "Save this view" and "Export" mean the filters in force now.
const hereNow = () => {
  const query = new URLSearchParams(location.search);
  query.delete("page");
  return query.toString();
};
document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-view-form]")) event.target.elements.query.value = hereNow();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-export]");
  if (link) link.search = hereNow();
});

// A choice that is a filter needs no second click. A date does: it changes with every digit that is typed.
document.addEventListener("change", (event) => {
  if (event.target.type !== "date" && event.target.form?.matches("[data-auto-submit]")) event.target.form.requestSubmit();
});
// What was not chosen does not belong into the address.
document.addEventListener("formdata", ({ target, formData }) => {
  if (!target.matches("[data-auto-submit]")) return;
  for (const [name, value] of [...formData]) if (value === "") formData.delete(name);
});

// After a line of the queue is set aside, the next one takes its place under the cursor.
let place = -1;
document.addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  if (!list?.matches?.("[data-keeps-place]")) return;
  const rows = [...list.querySelectorAll("[data-row]")];
  place = rows.findIndex((row) => row.classList.contains("is-current"));
});
document.addEventListener("htmx:afterSettle", (event) => {
  const list = event.detail.target;
  if (place < 0 || !list?.matches?.("[data-keeps-place]")) return;
  const rows = [...list.querySelectorAll("[data-row]")];
  const row = rows[Math.min(place, rows.length - 1)];
  place = -1;
  if (!row || document.querySelector("dialog[open]")) return;
  row.classList.add("is-current");
  row.querySelector("[data-row-link]")?.focus({ preventScroll: true });
});

// A dialog whose content comes from the server is empty until then; what was in it before is gone.
document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-dialog][hx-get]");
  if (!opener) return;
  const body = document.querySelector(opener.getAttribute("hx-target"));
  if (body) body.replaceChildren();
});

// A kind is chosen with the key that opened the dialog.
document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-touch-kind]");
  if (!opener) return;
  const form = document.querySelector("#touch form");
  if (!form) return;
  form.elements.kind.value = opener.dataset.touchKind;
  requestAnimationFrame(() => form.elements.notes.focus());
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const form = event.target.form;
  if (!form?.matches("[data-ctrl-enter]")) return;
  event.preventDefault();
  form.requestSubmit();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "f" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches?.("input:not([type=checkbox]), textarea, select") || document.querySelector("dialog[open]")) return;
  const search = document.querySelector("#filters input[type=text], #filters input[type=search], #filters select");
  if (!search) return;
  event.preventDefault();
  search.focus();
});
