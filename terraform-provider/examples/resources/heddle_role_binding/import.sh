# <org>/<role>/<member or service_account>, and /<mesh> for a role at a mesh; or <org>/<id>
terraform import heddle_role_binding.deployer acme/developer/deployer/prod
