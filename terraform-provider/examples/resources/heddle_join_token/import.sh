# <org>/<mesh>/<join_token>; the secret cannot be read back
terraform import heddle_join_token.payments acme/prod/payments-hosts
