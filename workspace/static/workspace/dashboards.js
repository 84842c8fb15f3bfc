// A dashboard's own buttons: printing.

document.addEventListener("click", (event) => event.target.closest?.("[data-print]") && print());
