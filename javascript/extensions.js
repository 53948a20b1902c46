// <atelier-extensions>: what was found, how long it took to load, what broke; to switch on and off.
window.atelier = window.atelier || {};

(function () {
    const make = atelier.make;

    class Extensions extends HTMLElement {
        connectedCallback() {
            if (this.list) return;
            this.head = make("div.list-head");
            this.list = make("div.extension-list");
            this.append(this.head, this.list);
            onUiTabChange(() => { if (atelier.tabs.current() === "extensions") this.load(); });
        }

        async load() {
            try {
                this.found = await atelier.api.get("atelier/v1/page/extensions");
                this.render();
            } catch (error) {
                this.head.replaceChildren(make("span.quiet", {}, error.message));
            }
        }

        render() {
            const seconds = this.found.reduce((sum, extension) => sum + extension.seconds, 0);
            const changed = this.found.some((extension) => extension.wanted !== extension.enabled && !extension.reason.startsWith("It could"));
            const text = this.found.length
                ? `${this.found.length} found, loaded in ${seconds.toFixed(2)} s`
                : "No extensions. Put one into the folder extensions and start again.";
            this.head.replaceChildren(make("span", {}, text));
            if (changed) this.head.append(make("span.notice", {}, "Changes take effect at the next start."));
            this.list.replaceChildren(...this.found.map((extension) => this.row(extension)));
        }

        row(extension) {
            const box = make("input", {type: "checkbox", "aria-label": `Use ${extension.name}`, onchange: () => this.toggle(extension, box)});
            box.checked = extension.wanted;
            const broken = extension.traces.length > 0;
            const state = broken ? "broken" : extension.enabled ? "on" : "off";
            const row = make(`div.extension.${state}`, {}, box,
                make("div.extension-text", {},
                    make("div.extension-name", {}, extension.name, extension.builtin ? make("span.tag", {}, "built in") : null),
                    extension.reason ? make("div.quiet", {}, extension.reason) : null,
                    ...extension.failures.slice(-3).map((text) => make("div.job-error", {}, text)),
                    broken ? make("details", {}, make("summary", {}, "What went wrong"), make("pre", {}, extension.traces.join("\n"))) : null),
                make("span.quiet", {}, extension.enabled ? `${extension.seconds.toFixed(2)} s` : ""),
                make("span.job-state", {}, state));
            return row;
        }

        async toggle(extension, box) {
            const others = (opts.disabled_extensions || []).filter((name) => name.toLowerCase() !== extension.name.toLowerCase());
            const disabled = box.checked ? others : [...others, extension.name];
            try {
                await atelier.api.post("atelier/v1/page/settings", {disabled_extensions: disabled});
                await atelier.settings.reload();
            } catch (error) {
                atelier.toast(error.message, error.remedy, "error");
            }
            this.load();
        }
    }
    customElements.define("atelier-extensions", Extensions);
})();
