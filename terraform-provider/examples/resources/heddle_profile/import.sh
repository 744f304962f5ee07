# <org>/<mesh>/<profile>
terraform import heddle_profile.backend acme/prod/backend
