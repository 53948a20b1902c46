// The page comes to life: panels, shortcuts, and what was going on before a reload.
window.atelier = window.atelier || {};

(function () {
    atelier.panels.txt2img = new atelier.Panel("txt2img");
    atelier.panels.img2img = new atelier.Img2Img();
    atelier.panels.extras = new atelier.Extras();

    async function start() {
        atelier.status.start();
        atelier.dressButtons(JSON.parse(document.getElementById("atelier-titles").textContent));
        for (const [tab, panel] of Object.entries(atelier.panels)) {
            // Settings may hide a tab.
            if (!document.getElementById(`tab_${tab}`)) continue;
            const gallery = await atelier.present(`#${tab}_gallery atelier-gallery`);
            gallery.addEventListener("chosen", (event) => panel.chosen(event.detail));
            panel.chosen(gallery.selected);
            atelier.prompts.setup(tab);
            showSeedExtras(tab);
            const styles = document.querySelector(`#${tab}_styles input`);
            if (styles) styles.placeholder = "Styles";
            panel.restore();
        }
        document.documentElement.classList.add("atelier-started");
    }

    // Variation seed and its kin, where "Extra" is ticked.
    function showSeedExtras(tab) {
        const box = document.querySelector(`#${tab}_subseed_show input`);
        const extras = document.getElementById(`${tab}_seed_extras`);
        if (box && extras) extras.classList.toggle("shown", box.checked);
    }
    document.addEventListener("change", (event) => {
        const found = event.target.closest && event.target.closest("[id$=_subseed_show]");
        if (found) showSeedExtras(found.id.replace("_subseed_show", ""));
    });

    onUiUpdate(() => {
        if (document.getElementById("tab_img2img")) atelier.panels.img2img.follow();
        if (document.getElementById("tab_extras")) atelier.panels.extras.follow();
    });
    onUiLoaded(start);

    document.addEventListener("input", (event) => {
        if (event.target.closest && event.target.closest("#img2img_scale")) atelier.panels.img2img.follow();
        if (event.target.closest && event.target.closest("#tab_txt2img")) showFinalSize();
        if (event.target.closest && event.target.closest("#tab_extras")) atelier.panels.extras.follow();
    });

    // "from 512×512 to 1024×1024" in the hires fix.
    function showFinalSize() {
        const host = document.getElementById("txtimg_hr_finalres");
        if (!host) return;
        const [width, height] = [atelier.getNumber("txt2img_width"), atelier.getNumber("txt2img_height")];
        const [x, y] = [atelier.getNumber("txt2img_hr_resize_x"), atelier.getNumber("txt2img_hr_resize_y")];
        const scale = atelier.getNumber("txt2img_hr_scale") || 1;
        let to = [width * scale, height * scale];
        if (x || y) to = [x || (y * width) / height, y || (x * height) / width];
        const text = `from ${width}×${height} to ${to.map((side) => Math.floor(side / 8) * 8).join("×")}`;
        // Writing the same again would be a change that calls for the next one.
        if (host.dataset.text === text) return;
        host.dataset.text = text;
        atelier.fillHtml(host, text);
    }
    onAfterUiUpdate(showFinalSize);

    document.addEventListener("keydown", (event) => {
        // What is pressed while a dialog is open is meant for the dialog: Escape closes it and ends no job.
        if (document.querySelector("dialog[open]")) return;
        const panel = atelier.panels[atelier.tabs.current()];
        if (!panel) return;
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            panel.generate();
        } else if (event.key === "Enter" && event.altKey) {
            event.preventDefault();
            panel.skip();
        } else if (event.key === "Escape" && panel.running && !document.querySelector("#context-menu")) {
            panel.interrupt();
        }
    });
})();
