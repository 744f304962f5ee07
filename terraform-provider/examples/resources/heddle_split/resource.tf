resource "heddle_split" "all" {
  mesh    = heddle_mesh.prod.name
  service = heddle_service.payments.name
  route   = heddle_route.all.name

  weights = [
    { version = "v1", weight = 90 },
    { version = "v2", weight = 10 },
  ]
}
