# <org>/<mesh>/<service>
terraform import heddle_service.payments acme/prod/payments
