import { useState } from "react";

export function useTheme() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme === "dark" ? "dark" : "light");
  return {
    theme,
    toggle() {
      const next = theme === "dark" ? "light" : "dark";
      localStorage.setItem("heddle.theme", next);
      document.documentElement.dataset.theme = next;
      setTheme(next);
    },
  };
}
