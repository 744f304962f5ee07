# <org>/<mesh>
terraform import heddle_mesh.prod acme/prod
