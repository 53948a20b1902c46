// Ctrl+Up and Ctrl+Down in a prompt: more or less weight for the marked words or the word at the cursor.
(function () {
    const WEIGHTED = /\(([^()]*):([-+]?\d*\.?\d+)\)/g;
    const NETWORK = /<([^<>:]+:[^<>:]+):([-+]?\d*\.?\d+)>/g;

    // {start, end, text, weight, open, close} of the weighted piece around a place, or null.
    function around(text, start, end) {
        for (const [pattern, open, close] of [[WEIGHTED, "(", ")"], [NETWORK, "<", ">"]]) {
            for (const match of text.matchAll(pattern)) {
                const from = match.index;
                const to = from + match[0].length;
                if (from <= start && end <= to) return {start: from, end: to, text: match[1], weight: Number(match[2]), open, close};
            }
        }
        return null;
    }

    function wordAt(text, at) {
        const delimiters = new Set((opts.keyedit_delimiters || ".,\\/!?%^*;:{}=`~() ") + "\t\r\n<>[]|");
        let [start, end] = [at, at];
        while (start > 0 && !delimiters.has(text[start - 1])) start -= 1;
        while (end < text.length && !delimiters.has(text[end])) end += 1;
        return start === end ? null : {start, end};
    }

    function trimmed(text, start, end) {
        while (start < end && /\s/.test(text[start])) start += 1;
        while (end > start && /\s/.test(text[end - 1])) end -= 1;
        return {start, end};
    }

    // The text with the weight changed, and what is marked then; null when there is nothing to change.
    function weighted(text, start, end, up) {
        let piece = around(text, start, end);
        if (!piece) {
            const range = start === end ? wordAt(text, start) : trimmed(text, start, end);
            if (!range || range.start === range.end) return null;
            piece = {...range, text: text.slice(range.start, range.end), weight: 1, open: "(", close: ")"};
        }
        const fine = piece.open === "<" ? opts.keyedit_precision_extra || 0.05 : opts.keyedit_precision_attention || 0.1;
        const digits = Math.max(2, String(fine).split(".")[1]?.length || 0);
        const weight = Number((piece.weight + (up ? fine : -fine)).toFixed(digits));
        const plain = piece.open === "(" && weight === 1;
        const written = plain ? piece.text : `${piece.open}${piece.text}:${weight}${piece.close}`;
        const from = piece.start + (plain ? 0 : 1);
        return {text: text.slice(0, piece.start) + written + text.slice(piece.end), start: from, end: from + piece.text.length};
    }

    function edit(event) {
        if (!(event.ctrlKey || event.metaKey) || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
        const area = event.target;
        if (!area.matches || !area.matches("[id$=_prompt] textarea, .prompt textarea")) return;
        const changed = weighted(area.value, area.selectionStart, area.selectionEnd, event.key === "ArrowUp");
        if (!changed) return;
        event.preventDefault();
        area.value = changed.text;
        area.setSelectionRange(changed.start, changed.end);
        updateInput(area);
    }
    document.addEventListener("keydown", edit);
    window.atelier.weighted = weighted;
})();
