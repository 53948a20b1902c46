// The img2img panel: which canvas counts, what it sends, and pictures that come from elsewhere.
window.atelier = window.atelier || {};

(function () {
    // place -> [tab, canvas]; the first four are also targets of "copy image to"
    const PLACES = {
        img2img: ["img2img_img2img_tab", "img2img_image"],
        sketch: ["img2img_img2img_sketch_tab", "img2img_sketch"],
        inpaint: ["img2img_inpaint_tab", "img2maskimg"],
        inpaint_sketch: ["img2img_inpaint_sketch_tab", "inpaint_sketch"],
        upload: ["img2img_inpaint_upload_tab", "img_inpaint_base"],
        batch: ["img2img_batch_tab", ""],
    };
    const MASKED = ["inpaint", "inpaint_sketch", "upload"];

    class Img2Img extends atelier.Panel {
        constructor() { super("img2img"); }

        // Null where the place has several pictures, or none.
        canvas(id) { return id ? document.querySelector(`#${id} atelier-canvas`) : null; }

        get place() {
            const tab = atelier.tabs.chosen(Object.values(PLACES).map(([id]) => id));
            return Object.keys(PLACES).find((name) => PLACES[name][0] === tab);
        }

        get inverted() {
            const radio = document.querySelector("#img2img_mask_mode input:checked");
            return Boolean(radio) && radio.value === "Inpaint not masked";
        }

        async sources() {
            const place = this.place;
            if (place === "batch") return {batch: await this.batch()};
            const canvas = this.canvas(PLACES[place][1]);
            if (!canvas || !canvas.hasPicture) {
                throw Object.assign(new Error("img2img needs a picture."), {remedy: "Drop one onto the canvas, or click it to choose a file."});
            }
            const told = {image: await canvas.picture()};
            const depth = this.canvas("img2img_depth");
            if (atelier.status.needs("depth") && depth && depth.hasPicture) told.depth = await depth.picture();
            if (MASKED.includes(place)) told.mask = await this.mask(place, canvas);
            // The server melts the strokes into the picture, so it needs both.
            if (place === "inpaint_sketch" && canvas.painted) {
                Object.assign(told, {original: await canvas.original(), transparency: atelier.getNumber("img2img_mask_alpha") || 0});
            }
            if (this.scaled) told.scale = atelier.getNumber("img2img_scale") || 1;
            return told;
        }

        get scaled() { return atelier.tabs.chosen(["img2img_tab_resize_to", "img2img_tab_resize_by"]) === "img2img_tab_resize_by"; }

        // Many pictures: given here, or a folder of the server; with masks and parameters beside them.
        async batch() {
            const text = (name) => document.querySelector(`#img2img_batch_${name} :is(textarea, input)`).value.trim();
            const told = {mask_folder: text("inpaint_mask_dir"), scale: this.scaled ? atelier.getNumber("img2img_scale") || 1 : 0};
            if (atelier.tabs.chosen(["img2img_batch_upload_tab", "img2img_batch_from_dir_tab"]) === "img2img_batch_from_dir_tab") {
                Object.assign(told, {folder: text("input_dir"), output_folder: text("output_dir")});
                if (!told.folder) throw Object.assign(new Error("There is no folder."), {remedy: "Write the name of the input directory."});
            } else {
                const sent = await document.querySelector("#img2img_batch_upload atelier-files").pictures();
                if (!sent.length) throw Object.assign(new Error("There are no pictures."), {remedy: "Drop some onto the Batch tab."});
                told.names = sent.map(({name}) => name);
                told.images = sent.map(({sha256, width, height}) => ({sha256, width, height}));
            }
            if (document.querySelector("#img2img_batch_use_png_info input").checked) {
                const chosen = [...document.querySelectorAll("#img2img_batch_png_info_props input:checked")];
                Object.assign(told, {use_png_info: true, png_info_folder: text("png_info_dir"), png_info_fields: chosen.map((box) => box.value || box.name)});
            }
            return told;
        }

        async mask(place, canvas) {
            if (place === "upload") {
                const uploaded = this.canvas("img_inpaint_mask");
                if (uploaded.hasPicture) return uploaded.picture();
                throw Object.assign(new Error("There is no mask."), {remedy: "Drop a picture onto the second canvas; white is painted anew."});
            }
            if (canvas.painted || this.inverted) return canvas.mask();
            throw Object.assign(new Error("Nothing is masked."), {remedy: "Paint over what is to be made anew."});
        }

        // A picture of some gallery: {sha256, width, height, infotext}.
        receive(picture, place, withParameters = true) {
            const [tab, canvasId] = PLACES[place] || PLACES.img2img;
            atelier.tabs.open("tab_img2img");
            atelier.tabs.open(tab);
            atelier.present(`#${canvasId} atelier-canvas`).then((canvas) => canvas.setStored(picture));
            if (withParameters && picture.infotext) this.paste(picture.infotext, {sent: true});
        }

        async copyTo(place) {
            const from = this.canvas(PLACES[this.place][1]);
            if (!from || !from.hasPicture) return atelier.toast("There is no picture to copy.");
            const picture = await from.picture();
            this.receive(picture, place, false);
        }

        // What the picture shows, as a sentence or as tags, in the place of the prompt.
        async describe(model) {
            const canvas = this.canvas(PLACES[this.place][1]);
            if (!canvas || !canvas.hasPicture) return atelier.toast("There is no picture to describe.");
            this.clearError();
            const row = document.getElementById("img2img_tools");
            if (row) row.classList.add("waiting");
            try {
                const told = await atelier.api.post("sdapi/v1/interrogate", {image: await canvas.original(), model});
                const area = atelier.prompts.area("img2img", "prompt");
                area.value = told.caption;
                updateInput(area);
            } catch (error) {
                this.fail(error);
            }
            if (row) row.classList.remove("waiting");
        }

        takeSize() {
            const canvas = this.canvas(PLACES[this.place][1]);
            if (!canvas || !canvas.hasPicture) return;
            const eight = (side) => Math.max(64, Math.round(side / 8) * 8);
            atelier.setNumber("img2img_width", eight(canvas.naturalWidth));
            atelier.setNumber("img2img_height", eight(canvas.naturalHeight));
        }

        // Controls of the mask only where there is one.
        follow() {
            const controls = document.getElementById("inpaint_controls");
            const place = this.place;
            if (controls) controls.classList.toggle("shown", MASKED.includes(place) || place === "batch");
            if (controls) controls.classList.toggle("sketching", place === "inpaint_sketch");
            const copies = document.getElementById("img2img_copy_row");
            if (copies) copies.classList.toggle("hidden", place === "batch");
            const preview = document.getElementById("img2img_scale_resolution_preview");
            const canvas = this.canvas(PLACES[place][1]);
            if (!preview || !canvas) return;
            const scale = atelier.getNumber("img2img_scale") || 1;
            const text = canvas.hasPicture
                ? `from ${canvas.naturalWidth}×${canvas.naturalHeight} to ${Math.floor(canvas.naturalWidth * scale / 8) * 8}×${Math.floor(canvas.naturalHeight * scale / 8) * 8}`
                : "no picture yet";
            if (preview.dataset.text !== text) {
                preview.dataset.text = text;
                atelier.fillHtml(preview, text);
            }
        }
    }
    atelier.Img2Img = Img2Img;
})();
