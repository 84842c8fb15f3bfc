// Native <dialog> and popovers: what opens them, where popovers stand, and buttons that copy.

document.addEventListener("click", async (event) => {
  const target = event.target;
  if (!(target instanceof Element)) return;

  const opener = target.closest("[data-dialog]");
  if (opener) {
    // A link that opens a dialog still leads to its page: in a new tab, and without scripts.
    if (opener.matches("a[href]")) {
      if (event.ctrlKey || event.metaKey) return;
      event.preventDefault();
    }
    opener.closest("[popover]:popover-open")?.hidePopover();
    const dialog = document.getElementById(opener.dataset.dialog);
    if (dialog && !dialog.open) dialog.showModal();
    return;
  }

  if (target.closest("[data-dialog-close]")) {
    target.closest("dialog")?.close();
    return;
  }

  // A click on the dialog itself, not on its box, is a click on what lies behind it.
  if (target instanceof HTMLDialogElement && target.open) target.close();

  const copier = target.closest("[data-copy]");
  if (copier) {
    const words = copier.querySelector("span");
    const before = words.textContent;
    try {
      await navigator.clipboard.writeText(copier.dataset.copy);
      words.textContent = "Copied";
    } catch {
      words.textContent = "Press Ctrl C";
      const range = document.createRange();
      range.selectNodeContents(copier);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
    }
    setTimeout(() => (words.textContent = before), 1500);
  }
});

// An answer with the header HX-Trigger: {"closeDialog": "key"} shuts the dialog its form was in.
document.addEventListener("closeDialog", (event) => {
  document.getElementById(event.detail.value ?? event.detail)?.close();
});

function place(popover, button) {
  const gap = 6;
  const edge = 12;
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = popover;
  const above = button.dataset.popoverSide === "top" || at.bottom + gap + height > innerHeight - edge;
  const top = above ? Math.max(edge, at.top - gap - height) : at.bottom + gap;
  const left = Math.min(Math.max(edge, at.left), innerWidth - width - edge);
  popover.style.top = `${top}px`;
  popover.style.left = `${left}px`;
}

document.addEventListener(
  "toggle",
  (event) => {
    const popover = event.target;
    if (event.newState !== "open" || !popover.matches?.("[data-popover]")) return;
    const buttons = [...document.querySelectorAll(`[popovertarget="${popover.id}"]`)];
    const button = buttons.find((candidate) => candidate.checkVisibility()) ?? buttons[0];
    if (button) place(popover, button);
  },
  true,
);

// A popover stands beside its button; once that scrolls away it would hang in the air.
addEventListener("resize", () => document.querySelectorAll("[data-popover]:popover-open").forEach((p) => p.hidePopover()));

// What has to be mended gets the focus after a form comes back.
document.querySelector("[data-focus]")?.focus();
document.addEventListener("htmx:afterSettle", (event) => event.detail.elt.querySelector?.("[data-focus]")?.focus());
