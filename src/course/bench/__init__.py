"""The chapters under the same load, measured from outside: `./course bench` and `./course race`."""
