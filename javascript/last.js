// Loaded after everything else, those of extensions too: from now on nobody misses the moment at which the page is ready.
window.atelier = window.atelier || {};
atelier.scriptsLoaded = true;
document.dispatchEvent(new CustomEvent("atelier:scripts"));
