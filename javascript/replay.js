// Replay: a picture is made again from what it records; both are shown with their difference.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;

    const replay = {
        // `find` gives the bytes of the picture; the report comes into `host`, an HTML component.
        async run(find, host) {
            const show = (...parts) => atelier.fillHtml(host, ...parts);
            show(make("p.quiet", {}, "Asking for the run…"));
            try {
                const stored = await atelier.api.upload(await find());
                const ticket = await atelier.api.post("atelier/v1/replay", {image: {sha256: stored.sha256}});
                this.follow(ticket.id, show);
            } catch (error) {
                show(this.failure(error));
            }
        },

        follow(job, show) {
            const text = make("span", {}, "waiting");
            const bar = make("div");
            const stop = make("button.list-button", {type: "button", onclick: () => atelier.jobs.cancel(job, "stop")}, "Interrupt");
            show(make("div.job", {}, make("div.job-text", {}, text, make("div.job-bar", {}, bar)), stop));
            const end = async (error, state) => {
                if (error) return show(this.failure(error));
                if (state !== "done") return show(make("p.quiet", {}, "Interrupted."));
                const {result} = await atelier.api.get(`atelier/v1/jobs/${encodeURIComponent(job)}`);
                show(...this.report(result.replay));
            };
            atelier.jobs.follow(job, {
                heard: (event) => {
                    if (event.kind === "StageChanged") text.textContent = event.stage;
                    if (event.kind === "StepDone") bar.style.width = `${(100 * event.step / event.steps).toFixed(0)}%`;
                    if (event.kind === "JobFailed") end(event.error);
                    if (event.kind === "JobFinished") end(null, event.state);
                },
                seen: (details) => { if (atelier.jobs.isFinal(details.state)) end(details.error, details.state); },
                lost: (error) => show(this.failure(error)),
            });
        },

        verdict(told) {
            if (told.largest === undefined) return `The sizes differ: ${told.sizes[0].join("×")} then, ${told.sizes[1].join("×")} now.`;
            if (told.largest === 0) return "Every pixel is the same.";
            const mean = told.mean < 0.001 ? "below 0.001" : told.mean.toFixed(3);
            const share = told.share < 0.001 ? "below 0.1" : (told.share * 100).toFixed(1);
            return `Largest difference ${told.largest} of 255, mean ${mean}; ${share} % of the pixels differ.`;
        },

        report(told) {
            const views = [["then", told.original], ["now", told.made], ["difference", told.difference]].filter(([, sha256]) => sha256);
            const pictures = views.map(([, sha256]) => ({sha256}));
            const figures = views.map(([name, sha256], index) => make("figure", {},
                make("img", {src: atelier.api.pictureUrl(sha256), alt: name, onclick: () => atelier.lightbox.open(pictures, index)}),
                make("figcaption.quiet", {}, name)));
            const rows = told.conditions.map((item) => make("tr", {}, make("th", {}, item.name),
                make("td", {}, item.recorded || "not recorded"), make("td", {}, item.now || "—")));
            const table = rows.length ? make("table.replay-conditions", {}, make("tr", {}, make("th", {}, "What is not the same"), make("th", {}, "then"), make("th", {}, "now")), ...rows)
                : make("p.quiet", {}, "All that the picture records is the same now.");
            return [make(`p.replay-verdict${told.largest === 0 ? ".good" : ""}`, {}, this.verdict(told)), make("div.replay-pictures", {}, ...figures),
                ...this.cells(told.cells), ...told.notes.map((note) => make("p.notice", {}, note)), table];
        },

        // What became of the other pictures of the job, in one sentence.
        cells(cells) {
            if (!cells || !cells.length) return [];
            const kept = cells.filter((cell) => cell.kept);
            const other = kept.filter((cell) => cell.largest !== 0);
            const gone = cells.length > kept.length ? ` ${cells.length - kept.length} of them are no longer kept.` : "";
            const differ = other.map((cell) => `${cell.place + 1} (${cell.largest === null ? "another size" : cell.largest})`).join(", ");
            const text = other.length ? `Of ${kept.length} pictures of the job these differ, by at most so much of 255: ${differ}.` : `All ${kept.length} pictures of the job are the same.`;
            return [make("p.quiet", {}, text + gone)];
        },

        failure(error) {
            return make("div.panel-error", {}, make("strong", {}, error.message), ` ${error.remedy || ""}`);
        },
    };
    atelier.replay = replay;
})();
