// Light or dark, decided before anything is drawn: what was chosen here, else the command line's word, else the system's.
(function () {
    const key = "atelier-theme";
    const system = window.matchMedia("(prefers-color-scheme: dark)");
    const told = (document.querySelector("meta[name=atelier-theme]") || {}).content || "";
    function wanted() {
        const choice = new URLSearchParams(location.search).get("__theme") || localStorage.getItem(key) || told;
        return choice === "dark" || choice === "light" ? choice : system.matches ? "dark" : "light";
    }
    function apply() {
        const dark = wanted() === "dark";
        document.documentElement.classList.toggle("atelier-dark", dark);
        document.documentElement.style.colorScheme = dark ? "dark" : "light";
        if (document.body) document.body.classList.toggle("dark", dark);
    }
    window.atelier = window.atelier || {};
    window.atelier.theme = {
        get name() { return wanted(); },
        toggle() { localStorage.setItem(key, wanted() === "dark" ? "light" : "dark"); apply(); },
    };
    system.addEventListener("change", apply);
    document.addEventListener("DOMContentLoaded", apply);
    // Gradio sets its own class when it starts; ours is put back whenever the two differ.
    const keep = new MutationObserver(() => {
        if (document.body && document.body.classList.contains("dark") !== (wanted() === "dark")) apply();
    });
    keep.observe(document.documentElement, {attributes: true, subtree: true, attributeFilter: ["class"]});
    apply();
})();
