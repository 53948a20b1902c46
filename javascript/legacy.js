// A1111's functions that do something on the page: dialogs, cards, checkpoints, following a task.

var desiredCheckpointName = null;

function selectCheckpoint(name) {
    desiredCheckpointName = name;
    atelier.api.post("atelier/v1/page/settings", {sd_model_checkpoint: name})
        .then((told) => atelier.status.loading(told.job))
        .catch((error) => atelier.toast(error.message, error.remedy, "error"));
}

function popup(content) {
    closePopup();
    const close = atelier.make("button.tool.global-popup-close", {type: "button", title: "Close", "aria-label": "Close", onclick: closePopup}, atelier.icon("close"));
    const inner = atelier.make("div.global-popup-inner", {onclick: (event) => event.stopPropagation()}, content);
    document.body.append(atelier.make("div.global-popup", {onclick: closePopup}, close, inner));
}
function closePopup() {
    const shown = document.querySelector(".global-popup");
    if (shown) shown.remove();
}
function popupId(id) {
    const content = document.getElementById(id);
    if (content) popup(content);
}

// A1111's functions about cards, which are asked for by the name that a card shows.
function cardNamed(tab, page, name) {
    const element = document.querySelector(`atelier-cards[tab="${tab}"][page="${CSS.escape(page.replaceAll(" ", "_"))}"]`);
    return element ? element.named(name) : null;
}
function extraNetworksRequestMetadata(event, page, name) {
    const card = cardNamed("txt2img", page, name) || cardNamed("img2img", page, name);
    if (event) event.stopPropagation();
    if (card) atelier.cardDialogs.metadata(page.replaceAll(" ", "_"), card);
}
function extraNetworksEditUserMetadata(event, tab, page, name) {
    const card = cardNamed(tab, page, name);
    if (event) event.stopPropagation();
    if (card) atelier.cardDialogs.edit(tab, page.replaceAll(" ", "_"), card);
}
function extraNetworksRefreshSingleCard(page, tab, name) {
    const card = cardNamed(tab, page, name);
    if (card) atelier.cardDialogs.refresh(page.replaceAll(" ", "_"), card);
}
function setupExtraNetworksForTab(tab) {
    for (const element of document.querySelectorAll(`atelier-cards[tab="${tab}"]`)) element.look();
}
function extraNetworksTabSelected(tab) { setupExtraNetworksForTab(tab); }
function toggleCss(key, css, enable) {
    const old = document.getElementById(key);
    if (old) old.remove();
    if (enable) document.head.append(atelier.make("style", {id: key}, css));
}

// Follows a task of any kind as A1111's page does: `onProgress(answer)` for each answer, `atEnd()` once.
function requestProgress(task, container, gallery, atEnd, onProgress, inactivityTimeout = 40) {
    const begun = Date.now();
    let seen = false;
    const look = () => request("internal/progress", {id_task: task, id_live_preview: -1}, (told) => {
        seen = seen || told.active || told.queued;
        const late = !seen && Date.now() - begun > inactivityTimeout * 1000;
        if (onProgress) onProgress(told);
        if (told.completed || late) {
            if (atEnd) atEnd();
            return;
        }
        setTimeout(look, opts.live_preview_refresh_period || 500);
    }, () => { if (atEnd) atEnd(); });
    look();
}

function rememberGallerySelection() {}
function showRestoreProgressButton() {}
function showSubmitInterruptingPlaceholder(tab) { if (atelier.panels[tab]) atelier.panels[tab].setBusy(true, true); }
function submit_txt2img() { return Array.from(arguments); }
function submit_img2img() { return Array.from(arguments); }
function submit_extras() { return Array.from(arguments); }
function get_img2img_tab_index() { return [get_tab_index("mode_img2img"), ...Array.from(arguments).slice(1)]; }
function set_theme(theme) { if (theme !== atelier.theme.name) atelier.theme.toggle(); }
function restart_reload() { location.reload(); return []; }
