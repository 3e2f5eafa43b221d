// Moves the login from the address, where others could find it, into the form.

const login = location.hash.slice(1);
if (login) {
  history.replaceState(null, "", location.pathname);
  const form = document.getElementById("login");
  form.elements.login.value = login;
  document.getElementById("code").hidden = true;
  document.getElementById("without-code").hidden = true;
  document.getElementById("with-code").hidden = false;
  form.querySelector("button").focus();
}
