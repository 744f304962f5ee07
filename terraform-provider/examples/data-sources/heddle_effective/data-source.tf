data "heddle_effective" "charges" {
  mesh    = heddle_mesh.prod.name
  service = heddle_service.payments.name
  route   = heddle_route.charges.name
  caller  = heddle_service.checkout.name
}

# Says so if a level that is closer to the call is set one day.
check "charges_are_never_tried_again" {
  assert {
    condition     = data.heddle_effective.charges.settings.retries.attempts == 0
    error_message = "Set by: ${data.heddle_effective.charges.from["retries.attempts"].level}."
  }
}
