// The button that runs hires fix on the chosen picture; what comes of it stands among the pictures that were there.
window.atelier = window.atelier || {};

(function () {
    // By id of the job: which picture it was made from, and those beside it.
    const begun = new Map();

    const hires = atelier.hires = {
        begin(panel) {
            const picture = panel.gallery.selected;
            if (!picture || picture.role === "grid") return atelier.toast("Choose a picture first; a grid cannot be enlarged.");
            panel.upscaling = picture;
            panel.generate();
        },

        // What Generate sends of it beside the controls.
        tell(panel, told) {
            const picture = panel.upscaling;
            if (!picture) return;
            panel.upscaling = null;
            begun.set(told.id, {of: picture.sha256, pictures: panel.gallery.pictures});
            told.upscale = {image: {sha256: picture.sha256, width: picture.width, height: picture.height}, infotext: picture.infotext};
        },

        of(panel) { return begun.get(panel.job || panel.last) || null; },

        // The pictures of a job in their places.
        arranged(panel) {
            const kept = hires.of(panel);
            if (!kept) return panel.pictures;
            const insert = opts.hires_button_gallery_insert || !panel.pictures.length;
            return kept.pictures.flatMap((p) => (p.sha256 !== kept.of ? [p] : insert ? [p, ...panel.pictures] : panel.pictures));
        },

        // The picture to show when a job is done: the new one, or null for the first.
        first(panel) { return hires.of(panel) && panel.pictures.length ? panel.pictures[0].sha256 : null; },
    };
})();
