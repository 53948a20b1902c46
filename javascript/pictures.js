// <atelier-pictures>: every saved picture, the newest first; to search, to mark, to use again.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;
    const PAGE = 60;
    const SEARCH_AFTER = 300;
    const base = "atelier/v1/page/pictures";

    class Pictures extends HTMLElement {
        connectedCallback() {
            if (this.grid) return;
            Object.assign(this, {pictures: [], total: 0, chosen: null});
            this.search = make("input", {type: "search", placeholder: "Search parameters", "aria-label": "Search parameters", oninput: () => this.later()});
            this.only = make("input", {type: "checkbox", onchange: () => this.reload()});
            this.count = make("span.quiet");
            this.grid = make("div.picture-grid");
            this.more = make("button.list-button", {type: "button", hidden: true, onclick: () => this.load()}, "Show more");
            this.side = make("aside.picture-side", {hidden: true});
            this.append(
                make("div.list-head", {}, this.search, make("label.check", {}, this.only, "Only marked"), this.count,
                    make("button.tool", {type: "button", title: "Look again", "aria-label": "Look again", onclick: () => this.reload()}, atelier.icon("refresh"))),
                make("div.picture-page", {}, make("div.picture-main", {}, this.grid, this.more), this.side));
            onUiTabChange(() => { if (atelier.tabs.current() === "gallery") this.reload(); });
        }

        later() {
            clearTimeout(this.timer);
            this.timer = setTimeout(() => this.reload(), SEARCH_AFTER);
        }

        async reload() {
            this.pictures = [];
            await this.load();
        }

        async load() {
            const query = new URLSearchParams({query: this.search.value, limit: PAGE});
            if (this.only.checked) query.set("favourite", "true");
            const last = this.pictures[this.pictures.length - 1];
            if (last) query.set("before", last.id);
            try {
                const told = await atelier.api.get(`${base}?${query}`);
                this.pictures.push(...told.pictures.map((picture) => ({...picture, url: new URL(`${base}/${picture.id}/file`, document.baseURI).href})));
                this.total = told.total;
                this.render();
            } catch (error) {
                this.grid.replaceChildren(make("p.quiet", {}, `${error.message} ${error.remedy || ""}`));
            }
        }

        render() {
            this.count.textContent = this.total === 1 ? "1 picture" : `${this.total} pictures`;
            this.more.hidden = this.pictures.length >= this.total;
            this.grid.replaceChildren(...this.pictures.map((picture, index) => make("button.picture-item", {
                type: "button", title: picture.infotext.split("\n")[0].slice(0, 200), onclick: () => this.choose(index),
                ondblclick: () => atelier.lightbox.open(this.pictures, index),
            }, make("img", {src: `${base}/${picture.id}/thumbnail`, alt: "", loading: "lazy"}),
            picture.favourite ? make("span.picture-mark", {}, atelier.icon("star")) : null)));
            if (!this.pictures.length) this.grid.replaceChildren(make("p.quiet", {}, this.search.value ? "Nothing fits." : "Saved pictures appear here."));
        }

        choose(index) {
            const picture = this.pictures[index];
            this.chosen = picture;
            const act = (icon, title, action) => make("button.tool", {type: "button", title, "aria-label": title, onclick: action}, atelier.icon(icon));
            this.side.hidden = false;
            this.side.replaceChildren(
                make("img.picture-large", {src: picture.url, alt: "", onclick: () => atelier.lightbox.open(this.pictures, index)}),
                make("div.image-buttons.plain", {},
                    act("star", picture.favourite ? "Take the mark away" : "Mark", () => this.mark(index)),
                    act("paste", "Use the parameters in txt2img", () => this.use(picture)),
                    act("image", "Send to img2img", () => this.send(picture, "img2img")),
                    act("mask", "Send to inpaint", () => this.send(picture, "inpaint")),
                    act("ruler", "Send to Extras", () => this.send(picture, "extras")),
                    make("a.tool-link", {href: picture.url, download: picture.name, title: "Download", "aria-label": "Download"}, atelier.icon("download")),
                    act("reuse", "Run again and compare", () => this.again(picture)),
                    act("close", "Close", () => { this.side.hidden = true; })),
                make("div.infotext", {}, make("div.atelier-fill", {}, make("p.quiet", {}, `${picture.name} · ${picture.width}×${picture.height}`), ...atelier.infotextParts(picture.infotext))));
            [...this.grid.children].forEach((item, at) => item.classList.toggle("selected", at === index));
        }

        async mark(index) {
            const picture = this.pictures[index];
            try {
                const told = await atelier.api.post(`${base}/${picture.id}`, {favourite: !picture.favourite});
                picture.favourite = told.favourite;
                this.render();
                this.choose(index);
            } catch (error) {
                atelier.toast(error.message, error.remedy, "error");
            }
        }

        // In PNG Info, where there is room for the report.
        async again(picture) {
            try {
                const blob = await (await fetch(picture.url)).blob();
                atelier.tabs.open("tab_pnginfo");
                const canvas = await atelier.present("#pnginfo_image atelier-canvas");
                await canvas.setFile(new File([blob], picture.name, {type: blob.type}));
                atelier.pnginfo.replay();
            } catch (error) {
                atelier.toast(error.message, error.remedy, "error");
            }
        }

        use(picture) {
            atelier.tabs.open("tab_txt2img");
            atelier.panels.txt2img.paste(picture.infotext);
        }

        // The blob of a saved picture may have been cleaned away; its file has not.
        async send(picture, place) {
            try {
                const blob = await (await fetch(picture.url)).blob();
                const stored = await atelier.api.upload(blob);
                if (place === "extras") return atelier.panels.extras.receive(stored);
                atelier.panels.img2img.receive({...stored, infotext: picture.infotext}, place);
            } catch (error) {
                atelier.toast(error.message, error.remedy, "error");
            }
        }
    }
    customElements.define("atelier-pictures", Pictures);
})();
