"""The judge as an HTTP server: who may ask, what is fetched for whom."""
