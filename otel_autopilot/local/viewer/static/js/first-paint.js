// Before anything is drawn: the theme that was chosen, or the system's, so that no page flashes in the other one.
(function () {
  let choice = "system";
  try {
    choice = localStorage.getItem("autopilot.theme") || "system";
  } catch {
    // Storage is off: the system's theme it is.
  }
  const dark = choice === "dark" || (choice === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
