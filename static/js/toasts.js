// Short messages at the edge of the page. Django's messages are there from the start; htmx answers bring theirs with
// the header HX-Trigger: {"toast": {"text": "...", "level": "good", "undo": "/path/"}}; scripts dispatch a "toast" event.

const STAYS = 6000;

function leaveLater(toast) {
  // What went wrong stays until it is read; so does what is being pointed at.
  if (toast.dataset.toast === "bad") return;
  let timer = setTimeout(() => toast.remove(), STAYS);
  const hold = () => clearTimeout(timer);
  const release = () => (timer = setTimeout(() => toast.remove(), STAYS / 2));
  toast.addEventListener("pointerenter", hold);
  toast.addEventListener("pointerleave", release);
  toast.addEventListener("focusin", hold);
  toast.addEventListener("focusout", release);
}

function show({ text, level = "info", undo = "" }) {
  const toast = document.getElementById("toast-template").content.firstElementChild.cloneNode(true);
  toast.classList.add(`toast-${level}`);
  toast.dataset.toast = level;
  if (level === "bad") toast.setAttribute("role", "alert");
  for (const icon of toast.querySelectorAll("[data-level]")) if (icon.dataset.level !== level) icon.remove();
  toast.querySelector("p").textContent = text;
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-sm";
    button.textContent = "Undo";
    button.addEventListener("click", () => {
      toast.remove();
      window.htmx.ajax("POST", undo, { target: "body", swap: "none" });
    });
    toast.querySelector("p").after(button);
  }
  document.getElementById("toasts").append(toast);
  leaveLater(toast);
}

document.addEventListener("toast", (event) => show(event.detail));

document.addEventListener("click", (event) => {
  event.target.closest?.("[data-toast-close]")?.closest("[data-toast]")?.remove();
});

document.querySelectorAll("#toasts [data-toast]").forEach(leaveLater);
document.addEventListener("htmx:oobAfterSwap", (event) => {
  if (event.detail.target?.id === "toasts")
    event.detail.target.querySelectorAll("[data-toast]:not([data-timed])").forEach((toast) => {
      toast.dataset.timed = "";
      leaveLater(toast);
    });
});

// htmx leaves the page as it was when the answer is an error: say so.
document.addEventListener("htmx:responseError", (event) => {
  const { status } = event.detail.xhr;
  const reasons = {
    403: "You may not do that.",
    404: "That is not there any more. Reload the page.",
    409: "Somebody else changed this meanwhile. Reload the page.",
    413: "That is too large.",
    429: "Too many requests. Wait a moment and try again.",
  };
  show({ level: "bad", text: reasons[status] ?? "The server could not do that. Nothing was changed on this page." });
});
document.addEventListener("htmx:sendError", () =>
  show({ level: "bad", text: "The server can't be reached. Check the connection and try again." }),
);

// The session has ended: an htmx request was led to the sign-in page, which belongs in the whole window.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (!xhr.responseURL) return;
  const arrived = new URL(xhr.responseURL);
  if (arrived.pathname !== "/auth/login/") return;
  event.detail.shouldSwap = false;
  arrived.searchParams.set("next", location.pathname + location.search);
  location.assign(arrived);
});
