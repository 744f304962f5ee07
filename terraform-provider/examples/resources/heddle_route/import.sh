# <org>/<mesh>/<service>/<route>
terraform import heddle_route.charges acme/prod/payments/charges
