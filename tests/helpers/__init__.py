"""What tests share: servers, processes, sample data and what is expected of them."""
