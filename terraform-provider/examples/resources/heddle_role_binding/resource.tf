resource "heddle_role_binding" "deployer" {
  role            = "developer"
  service_account = heddle_service_account.deployer.name
  mesh            = heddle_mesh.prod.name
}

# In the whole organisation.
resource "heddle_role_binding" "deployer_reads" {
  role            = "viewer"
  service_account = heddle_service_account.deployer.name
}
