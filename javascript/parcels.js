// Taking pictures away: one as a file, all of a job as a zip file, or their folder on this machine.
window.atelier = window.atelier || {};

(function () {
    const path = (panel) => `atelier/v1/jobs/${encodeURIComponent(panel.job || panel.last)}/pictures.zip`;

    function fetchFile(href, name) {
        const link = atelier.make("a", {href, download: name});
        document.body.append(link);
        link.click();
        link.remove();
    }

    atelier.parcels = {
        one(panel) {
            const picture = panel.gallery.selected;
            if (!picture) return;
            const name = (picture.path || "").split(/[\\/]/).pop() || `${picture.sha256.slice(0, 12)}.png`;
            fetchFile(atelier.api.pictureUrl(picture.sha256), name);
        },

        all(panel) {
            if (panel.gallery.selected && (panel.job || panel.last)) fetchFile(new URL(path(panel), document.baseURI).href, "");
        },

        async folder(panel) {
            try {
                await atelier.api.post("atelier/v1/page/folder", {tab: panel.tab, job: panel.job || panel.last || ""});
            } catch (error) {
                atelier.toast(error.message, error.remedy, "error");
            }
        },
    };
})();
