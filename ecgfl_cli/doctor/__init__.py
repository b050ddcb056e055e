"""What must be right before the first night, checked without changing anything."""
