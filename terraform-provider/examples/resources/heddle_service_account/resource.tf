resource "heddle_service_account" "deployer" {
  name         = "deployer"
  display_name = "Deploys from the main branch"
}
