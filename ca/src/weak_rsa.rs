//! RSA keys that are known to be weak by their public half alone.

/// The odd primes whose product divides what smart cards with the ROCA flaw (CVE-2017-15361) built their primes from.
const PRIMES: [u64; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether a modulus, big-endian, is even, has a small factor, or comes from a generator with the ROCA flaw: the primes of such a one
/// are powers of 65537 modulo every prime of the list, and so is their product. Of other moduli fewer than one in 2^27 looks like that.
pub(crate) fn is_weak(modulus: &[u8]) -> bool {
    let even = modulus.last().is_none_or(|byte| byte % 2 == 0);
    even || PRIMES.iter().any(|prime| rest(modulus, *prime) == 0)
        || PRIMES
            .iter()
            .all(|prime| is_power(rest(modulus, *prime), *prime))
}

/// The number modulo a small one.
fn rest(number: &[u8], by: u64) -> u64 {
    number
        .iter()
        .fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % by)
}

/// Whether a number is a power of 65537 modulo a prime.
fn is_power(number: u64, prime: u64) -> bool {
    let mut power = 1;
    for _ in 0..prime {
        if power == number {
            return true;
        }
        power = power * 65_537 % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_c03_a_modulus_of_the_flawed_generator_is_recognised() {
        // 65537^17 has the form that all of its products have; its bytes, by repeated multiplication.
        let mut flawed = vec![1_u8];
        for _ in 0..17 {
            let mut carry = 0_u64;
            for byte in flawed.iter_mut().rev() {
                let product = u64::from(*byte) * 65_537 + carry;
                *byte = (product & 0xff) as u8;
                carry = product >> 8;
            }
            while carry > 0 {
                flawed.insert(0, (carry & 0xff) as u8);
                carry >>= 8;
            }
        }
        assert!(is_weak(&flawed));
        // 2^127 - 1 is a prime.
        let mut sound = [0xff_u8; 16];
        sound[0] = 0x7f;
        assert!(!is_weak(&sound));
        assert!(is_weak(&[0x7f, 0xff, 0xfe]), "even");
        assert!(is_weak(&[15]) && is_weak(&[]));
    }
}
