// What cards write into prompts and take out again, and A1111's function for it, which extensions wrap.
window.atelier = window.atelier || {};

(function () {
    // A name in the middle of another is not meant.
    const LETTER = "[\\p{L}\\p{N}_-]";
    const LORA = ["lora", "lyco"];

    const gap = () => (typeof opts.extra_networks_add_text_separator === "string" ? opts.extra_networks_add_text_separator : " ");
    const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
    const kinds = (kind) => (LORA.includes(kind) ? LORA.join("|") : escaped(kind));

    // "<lora:ink:0.8> inky" -> {kind, name, rest}; null for a text without a tag at its beginning.
    function parse(text) {
        const found = /^<(\w+):([^:>]+)[^>]*>([\s\S]*)$/.exec(text);
        return found ? {kind: found[1], name: found[2], rest: found[3].trim()} : null;
    }

    // Tags of this kind and name with any weight.
    function tagPattern(kind, name) { return new RegExp(`<(?:${kinds(kind)}):${escaped(name)}(?::[^>]*)?>`, "gu"); }

    // The text itself, with brackets that give it a weight.
    function plainPattern(text) {
        const before = /^[\p{L}\p{N}_]/u.test(text) ? `(?<!${LETTER})` : "";
        const after = /[\p{L}\p{N}_]$/u.test(text) ? `(?!${LETTER})` : "";
        const core = `${before}${escaped(text)}${after}`;
        return new RegExp(`\\(${core}(?::[\\d.]+)?\\)|${core}`, "gu");
    }

    // Takes a piece out with the gap that was made for it, and with a comma that would be left alone.
    function cut(text, start, end) {
        let before = text.slice(0, start);
        let after = text.slice(end);
        if (gap() && before.endsWith(gap())) before = before.slice(0, -gap().length);
        else if (before.endsWith(" ")) before = before.slice(0, -1);
        if (!before.trim()) return after.replace(/^[\s,]+/, "");
        if (/,\s*$/.test(before)) after = after.replace(/^\s*,/, "");
        return before + after;
    }

    // Without what the pattern finds, or null when it finds nothing.
    function without(text, pattern, once = false) {
        const places = [...text.matchAll(pattern)].map((found) => [found.index, found.index + found[0].length]);
        if (!places.length) return null;
        for (const [start, end] of once ? places.slice(0, 1) : places.reverse()) text = cut(text, start, end);
        return text;
    }

    atelier.cardTexts = {
        parse,

        // By which of its names a prompt has a card's file; "" when it has none of them.
        named(prompt, kind, names) {
            return names.find((name) => prompt.includes(name) && (kind ? tagPattern(kind, name) : plainPattern(name)).test(prompt)) || "";
        },

        // The prompt without a card's text, or null when it is not there. A tag counts whatever its weight.
        removed(prompt, text) {
            const tag = parse(text);
            if (!tag) return without(prompt, plainPattern(text));
            const left = without(prompt, tagPattern(tag.kind, tag.name));
            if (left === null || !tag.rest) return left;
            return without(left, plainPattern(tag.rest), true) ?? left;
        },

        added(prompt, text) { return prompt.trim() ? prompt + gap() + text : text; },
    };
})();

// A card was clicked: its text goes to the end of the prompt, or leaves it when it is there already.
function cardClicked(tab, text, negative, allowNegative) {
    const [first, second] = ["prompt", "neg_prompt"].map((name) => atelier.prompts.area(tab, name));
    const write = (area, value) => {
        if (!area || value === area.value) return;
        area.value = value;
        updateInput(area);
    };
    const area = !negative && allowNegative && activePromptTextarea[tab] === second ? second : first;
    const left = area && text ? atelier.cardTexts.removed(area.value, text) : null;
    if (area && text) write(area, left ?? atelier.cardTexts.added(area.value, text));
    if (!negative || !second) return;
    // Both prompts go the same way.
    const other = atelier.cardTexts.removed(second.value, negative);
    if (left !== null) write(second, other ?? second.value);
    else if (other === null) write(second, atelier.cardTexts.added(second.value, negative));
}
