// Sends the answer on its way. Classic and old-fashioned on purpose: it runs
// wherever any script runs, and where none does there is the button.
HTMLFormElement.prototype.submit.call(document.getElementById("response"));
