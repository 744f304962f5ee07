// Before the first paint, so that a chosen theme never flashes the other one. A file, because nothing inline may run.
(() => {
  const chosen = localStorage.getItem("heddle.theme");
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
