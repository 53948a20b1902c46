// The menu on the right mouse button: A1111's three functions, and "Generate forever" on Generate.
(function () {
    const entries = new Map();
    let number = 0;
    let shown = null;

    window.appendContextMenuOption = function (selector, name, action) {
        number += 1;
        const id = `${number}_${Math.random().toString(36).slice(2)}`;
        entries.set(id, {selector, name, action});
        return id;
    };
    window.removeContextMenuOption = function (id) { entries.delete(id); };
    window.addContextMenuEventListener = function () {};

    function close() {
        if (shown) shown.remove();
        shown = null;
    }

    function open(event) {
        close();
        const fitting = [...entries.values()].filter(({selector}) => event.target.closest && event.target.closest(selector));
        if (!fitting.length) return;
        event.preventDefault();
        const list = atelier.make("ul", {}, ...fitting.map(({name, action}) => atelier.make("li", {}, atelier.make("button", {
            type: "button", onclick: () => { close(); action(); },
        }, name))));
        shown = atelier.make("nav", {id: "context-menu"}, list);
        document.body.append(shown);
        const box = shown.getBoundingClientRect();
        shown.style.left = `${Math.min(event.clientX, innerWidth - box.width - 8)}px`;
        shown.style.top = `${Math.min(event.clientY, innerHeight - box.height - 8)}px`;
    }

    document.addEventListener("contextmenu", open);
    document.addEventListener("click", close);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });

    for (const tab of ["txt2img", "img2img"]) {
        for (const part of ["generate", "interrupt", "skip"]) {
            const selector = `#${tab}_${part}`;
            appendContextMenuOption(selector, "Generate forever", () => atelier.panels[tab].generateForever());
            appendContextMenuOption(selector, "Cancel generate forever", () => atelier.panels[tab].stopForever());
        }
    }
})();
