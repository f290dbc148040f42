"""What the tests share: servers, networks, terminals and programs as they meet them."""
