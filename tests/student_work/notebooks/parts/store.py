torch.save(model.state_dict(), "weights.pt")
print(f"Test accuracy: {accuracy(model, test_loader):.2f} %")
