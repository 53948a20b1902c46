// Signs on small buttons, as lines that take the colour of the text: not every system has a font with pictures.
window.atelier = window.atelier || {};

(function () {
    // Paths in a square of 24.
    const PATHS = {
        paste: "M17 7 7 17M7 9v8h8",
        trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
        apply: "M9 4h6v3H9zM7 5H5v16h14V5h-2M8.5 14l2.5 2.5 4.5-5",
        refresh: "M20 11a8 8 0 1 0-2 6M20 4v7h-7",
        dice: "M4 4h16v16H4zM8.5 8.5h.01M15.5 8.5h.01M12 12h.01M8.5 15.5h.01M15.5 15.5h.01",
        reuse: "M4 12a8 8 0 0 1 13.5-5.8L20 8M20 3v5h-5M20 12a8 8 0 0 1-13.5 5.8L4 16M4 21v-5h5",
        swap: "M8 20V5M4 9l4-4 4 4M16 4v15M12 15l4 4 4-4",
        words: "M4 5h16v11H9l-4 4v-4H4zM8 9h8M8 12.5h5",
        tag: "M4 4h8l8 8-8 8-8-8zM8 8h.01",
        ruler: "M3 16 16 3l5 5L8 21zM7 12l2 2M10 9l3 3M13 6l2 2",
        download: "M12 4v11M7 11l5 5 5-5M5 20h14",
        parcel: "M4 8h16v12H4zM4 8l3-4h10l3 4M12 4v8M9 12h6",
        folder: "M3 6h6l2 3h10v10H3z",
        image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01",
        brush: "M14 5l5 5-8 8H6v-5zM6 18l-2 2M12 7l5 5",
        mask: "M5 19c0-3 2-4 4-4s3 1 3 3-3 3-7 2M10.5 14 19 4l1 1-8 11",
        eraser: "M8 20 3.5 15.5 14 5l6 6-9 9zM8 20h12M9 10l6 6",
        hand: "M8 13V6.5a1.5 1.5 0 0 1 3 0V12M11 11V5a1.5 1.5 0 0 1 3 0v6M14 11V6.5a1.5 1.5 0 0 1 3 0V14c0 4-2 7-6 7-3 0-4.500-1.500-7-6 1-1.300 2.500-1 4 1",
        undo: "M9 6 4 11l5 5M4 11h10a5 5 0 0 1 0 10h-3",
        redo: "M15 6l5 5-5 5M20 11H10a5 5 0 0 0 0 10h3",
        fill: "M5 5h14v14H5zM5 9l4-4M5 14l9-9M6 19 19 6M11 19l8-8M16 19l3-3",
        invert: "M5 5h14v14H5zM5 19 19 5M19 9v10H9M14 14l5 5",
        wipe: "M5 5h14v14H5zM9 9l6 6M15 9l-6 6",
        fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
        close: "M6 6l12 12M18 6 6 18",
        copy: "M9 9h11v11H9zM5 15H4V4h11v1",
        theme: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
        star: "M12 4l2.500 5.200 5.500.800-4 4 1 5.700-5-2.700-5 2.700 1-5.700-4-4 5.500-.800z",
        up: "M12 20V5M6 11l6-6 6 6",
        down: "M6 9l6 6 6-6",
        plus: "M12 5v14M5 12h14",
        pause: "M8 5v14M16 5v14",
        play: "M7 4l13 8-13 8z",
        sparkle: "M11 3l2 6 6 2-6 2-2 6-2-6-6-2 6-2zM19 16v5M16.5 18.5h5",
        info: "M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17M12 11v5.500M12 7.800h.01",
        pencil: "M15 4.500l4.500 4.500L9 19.500H4.500V15zM12.500 7l4.500 4.500",
        open: "M10 5H5v14h14v-5M13 4h7v7M20 4l-9 9",
    };
    const SPACE = "http://www.w3.org/2000/svg";

    atelier.icon = function (name) {
        const svg = document.createElementNS(SPACE, "svg");
        svg.setAttribute("viewBox", "0 0 24 24");
        svg.setAttribute("class", "icon");
        svg.setAttribute("aria-hidden", "true");
        const path = document.createElementNS(SPACE, "path");
        path.setAttribute("d", PATHS[name] || PATHS.plus);
        svg.append(path);
        return svg;
    };

    // {id: {title, icon}} as the page tells it; the button's own text stays for scripts that look for it.
    atelier.dressButtons = function (told) {
        for (const [id, {title, icon}] of Object.entries(told)) {
            for (const button of document.querySelectorAll(`[id="${id}"]`)) {
                button.title = title;
                button.setAttribute("aria-label", title);
                if (!PATHS[icon] || button.querySelector("svg.icon")) continue;
                button.classList.add("has-icon");
                button.prepend(atelier.icon(icon));
            }
        }
    };
})();
