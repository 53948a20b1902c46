// The Extras panel: which pictures it works on, and pictures that come from elsewhere.
window.atelier = window.atelier || {};

(function () {
    const MODES = {extras_single_tab: "single", extras_batch_process_tab: "batch", extras_batch_directory_tab: "folder"};
    const SIZES = ["extras_scale_by_tab", "extras_scale_to_tab"];

    class Extras extends atelier.Panel {
        constructor() { super("extras"); }

        get canvas() { return document.querySelector("#extras_image atelier-canvas"); }
        get files() { return document.querySelector("#extras_image_batch atelier-files"); }
        get mode() { return MODES[atelier.tabs.chosen(Object.keys(MODES))]; }
        get scaleTo() { return atelier.tabs.chosen(SIZES) === SIZES[1]; }

        // No model of pictures is needed, so nothing waits for one.
        async submit(values) {
            this.clearError();
            const told = {id: atelier.jobId(this.tab), mode: this.mode, scale_to: this.scaleTo};
            try {
                if (told.mode !== "folder") told.images = await this.given(told.mode);
            } catch (error) {
                this.fail(error);
                return atelier.wire({cancelled: true}, values);
            }
            this.remember(told.id);
            if (!this.running) {
                this.setBusy(true);
                this.progress.show({text: "Sending…"});
            }
            return atelier.wire(told, values);
        }

        async given(mode) {
            const missing = (remedy) => Object.assign(new Error("There is no picture."), {remedy});
            if (mode === "batch") {
                if (!this.files.entries.length) throw missing("Drop some onto the page, or click to choose files.");
                return this.files.pictures();
            }
            if (!this.canvas || !this.canvas.hasPicture) throw missing("Drop one onto the canvas, or click it to choose a file.");
            return [await this.canvas.picture()];
        }

        keeping(values) { return atelier.wire({}, values); }

        // How far the work is; its steps are parts of pictures, which mean nothing to a person.
        show(at = this.at) {
            this.at = at;
            const stage = this.stage ? `${this.stage[0].toUpperCase()}${this.stage.slice(1)}…` : "Running…";
            const parts = at ? [`${Math.round(at.fraction * 100)}%`] : [];
            if (at && at.left !== null && at.left !== undefined) parts.push(`${formatTime(Math.ceil(at.left))} left`);
            parts.push(stage);
            if (this.waiting.length) parts.push(`${this.waiting.length} more waiting`);
            this.progress.show({text: parts.join(" · "), fraction: at ? at.fraction : undefined});
            if (atelier.tabs.current() === this.tab || at) setTitle(at ? `${Math.round(at.fraction * 100)}%` : "…");
        }

        // A picture of some gallery: {sha256, width, height, infotext}.
        receive(picture) {
            atelier.tabs.open("tab_extras");
            atelier.tabs.open("extras_single_tab");
            atelier.present("#extras_image atelier-canvas").then((canvas) => canvas.setStored(picture));
        }

        sendTo(place) {
            const picture = this.gallery.selected;
            if (!picture) return atelier.toast("There is no picture yet.");
            if (place === "extras") return this.receive(picture);
            atelier.panels.img2img.receive(picture, place, /\bSteps: \d/.test(picture.infotext));
        }

        reuse() {
            const picture = this.gallery.selected;
            if (!picture) return atelier.toast("There is no picture yet.");
            if (!/\bSteps: \d/.test(picture.infotext)) return atelier.toast("This picture holds no parameters of its making.");
            atelier.tabs.open("tab_txt2img");
            atelier.panels.txt2img.paste(picture.infotext, {sent: true});
        }

        pasted() { /* Nothing is pasted into this tab. */ }

        swap() {
            const [width, height] = [atelier.getNumber("extras_upscaling_resize_w"), atelier.getNumber("extras_upscaling_resize_h")];
            atelier.setNumber("extras_upscaling_resize_w", height);
            atelier.setNumber("extras_upscaling_resize_h", width);
        }

        // "from 512×512 to 1024×1024"
        follow() {
            const host = this.find("extras_final_size");
            const canvas = this.canvas;
            if (!host || !canvas) return;
            const [width, height] = [canvas.naturalWidth, canvas.naturalHeight];
            let text = "";
            if (this.mode === "single" && width && height) {
                const to = this.scaleTo ? this.sizeTo(width, height) : this.sizeBy(width, height);
                text = `from ${width}×${height} to ${to.join("×")}`;
            }
            if (host.dataset.text === text) return;
            host.dataset.text = text;
            atelier.fillHtml(host, text);
        }

        sizeBy(width, height) {
            const limit = atelier.getNumber("extras_upscale_max_side_length") || 0;
            let factor = atelier.getNumber("extras_upscaling_resize") || 1;
            if (limit && Math.max(width, height) * factor > limit) factor = limit / Math.max(width, height);
            return [width, height].map((side) => Math.max(8, Math.floor((side * factor + 1e-6) / 8) * 8));
        }

        sizeTo(width, height) {
            const wanted = [atelier.getNumber("extras_upscaling_resize_w") || 512, atelier.getNumber("extras_upscaling_resize_h") || 512];
            const crop = document.querySelector("#extras_upscaling_crop input");
            if (crop && crop.checked) return wanted;
            const factor = Math.max(wanted[0] / width, wanted[1] / height);
            return [width, height].map((side, index) => Math.max(wanted[index], Math.floor((side * factor + 1e-6) / 8) * 8));
        }
    }
    atelier.Extras = Extras;
})();
