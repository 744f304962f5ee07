data "heddle_bootstrap" "payments" {
  mesh              = heddle_mesh.prod.name
  service           = heddle_service.payments.name
  proxy             = "payments-1"
  version           = "v2"
  advertise_address = "10.0.3.17"
}

# An Envoy that keeps its own file gets an overlay beside it.
data "heddle_bootstrap" "edge" {
  mesh      = heddle_mesh.prod.name
  service   = heddle_service.payments.name
  proxy     = "edge-1"
  mode      = "augment"
  keep_node = true
}
