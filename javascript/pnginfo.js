// PNG Info: what a dropped picture says of itself, and where it may go.
window.atelier = window.atelier || {};

(function () {
    const pnginfo = {
        info: "",
        file: null,

        get canvas() { return document.querySelector("#pnginfo_image atelier-canvas"); },

        show({info = "", program = "", original = "", watermark = ""} = {}) {
            this.info = info;
            const host = document.getElementById("html_info_pnginfo");
            const empty = this.canvas.hasPicture ? "This picture holds no parameters." : "";
            const parts = info ? atelier.infotextParts(info) : [atelier.make("p.quiet", {}, empty)];
            if (program) parts.unshift(atelier.make("p.quiet", {}, original ? `Written by ${program}, translated.` : `Written by ${program}.`));
            if (watermark) parts.unshift(atelier.make("p.quiet", {}, `Watermark: ${watermark}`));
            if (original) parts.push(atelier.make("details.original", {}, atelier.make("summary", {}, "What stands in the file"), atelier.make("pre", {}, original)));
            atelier.fillHtml(host, ...parts);
            document.getElementById("image_buttons_pnginfo").classList.toggle("idle", !this.canvas.hasPicture);
            const text = document.querySelector("#pnginfo_generation_info textarea");
            if (text) {
                text.value = info;
                updateInput(text);
            }
        },

        async taken(file) {
            this.file = file;
            atelier.fillHtml(document.getElementById("pnginfo_replay_result"));
            if (!file) return this.show();
            this.show(await atelier.readParameters(file) || {});
        },

        replay() {
            if (!this.file) return atelier.toast("There is no picture to make again.");
            atelier.replay.run(() => this.file, document.getElementById("pnginfo_replay_result"));
        },

        async sendTo(place) {
            if (place === "txt2img") {
                if (!this.info) return atelier.toast("There are no parameters to send.");
                atelier.tabs.open("tab_txt2img");
                atelier.panels.txt2img.paste(this.info, {sent: true});
                return;
            }
            const picture = await this.canvas.picture();
            if (place === "extras") return atelier.panels.extras.receive(picture);
            atelier.panels.img2img.receive({...picture, infotext: this.info}, place);
        },
    };
    atelier.pnginfo = pnginfo;

    onUiLoaded(async () => {
        const canvas = await atelier.present("#pnginfo_image atelier-canvas");
        canvas.addEventListener("picture", (event) => pnginfo.taken(event.detail));
        pnginfo.show();
    });
})();
