// Takes the login out of the address, where nobody else is to find it, and puts it into the form.

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
