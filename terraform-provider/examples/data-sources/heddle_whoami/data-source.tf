data "heddle_whoami" "me" {}
